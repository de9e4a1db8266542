"""What the inference service is made of: the served model, its HTTP application, its journal of responses."""
