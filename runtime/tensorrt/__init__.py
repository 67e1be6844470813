"""TensorRT engines: built, stored, checked, loaded, run."""
