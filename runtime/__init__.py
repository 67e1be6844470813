"""Everything needed to edit faces: NumPy, OpenCV and ONNX Runtime, never torch."""
