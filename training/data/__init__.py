"""Data: from files on disk to uint8 batches [B, H, W, C]. NumPy only, no torch.

`config.Data` says which images, `load.load` reads a split of them, `batches.Batches` turns them into an endless
stream in which batch k depends on (seed, k) alone, and `download` fetches the public data sets.
"""
