"""The model families. Each file is one family, complete; all keep the contract in `contract.py`."""
