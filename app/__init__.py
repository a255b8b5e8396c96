"""The explorer: a screen for the levels of a hierarchical VAE, in a browser.

It knows a model only by its card and speaks to the server over REST only (`client`). From the inside out:

    recipes, mixing, laddering, reconstructing
                        pure functions: what a screen stands for, and what it asks
    intents, state      what a person may do, and what it makes of the session: undo, redo, selection
    measure             what a level changes, computed from images
    rail, stage, ...    card and session to HTML
    explorer            asks the server for what a session shows
    ui                  Gradio: hands intents in and HTML out
"""
