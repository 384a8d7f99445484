"""Exact slicing: how a module computes its output slice by slice, and what that takes.

Low in the house: optimizations and workloads build on it, and it knows neither.
"""
