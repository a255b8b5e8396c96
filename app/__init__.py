"""The explorer: a screen for the levels of a hierarchical VAE, in a browser.

It knows a model only by its card and speaks to the server over REST only (`client`). From the inside out:

    state               the session, a value: histories for undo and redo, selection
    recipes, exploring, laddering, mixing, reconstructing, editing, morphing
                        pure functions: what a screen stands for, its intents, and what they make of the session
    measure             what a level changes, computed from images
    rail, stage, ...    card and session to HTML
    screens             one file a screen: asks the server, and fills the screen's regions
    explorer            the models, the session, and which screen is asked
    pages               the open pages: calls in, the regions that changed out
    ui                  Gradio: where the regions are, and how a page calls

How a screen is added: docs/explorer.md, "For developers".
"""
