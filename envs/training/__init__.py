"""What a training of agents needs beside its algorithm: settings, selection, resuming."""
