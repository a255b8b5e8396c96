"""Bundles on disk: the manifest, and the code that finds, verifies, lists and describes them.

A bundle is what training hands to serving: `manifest.json`, two ONNX graphs that share one weights file,
a few test images and a card for people. No torch and no web framework is imported here.
"""
