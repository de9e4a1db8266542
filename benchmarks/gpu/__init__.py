"""What a machine with a GPU can prove that a simulated device cannot: ``make gpu``."""
