"""The pages, one module each, and the prediction that two of them show."""
