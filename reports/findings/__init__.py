"""What stands out in runs: one file a finding, each with the evidence and the threshold that it takes."""
