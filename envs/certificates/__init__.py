"""What no adversary in B can change: actions, and returns that follow from them."""
