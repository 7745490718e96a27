"""What bounds are made of: intervals, linear forms, planes."""
