"""What carries out a training: loop, runs, checkpoints, logs."""
