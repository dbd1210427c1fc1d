"""Speed, measured apart from the tests: ratios against a peer or a limit in the same run."""
