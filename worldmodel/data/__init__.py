"""Episodes on disk (LeRobotDataset v3.0), windows over them, and caches of frames and latents."""
