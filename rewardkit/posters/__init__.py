"""Posters: the built-in world, small enough to know everything about.

A scene is said as a caption (English, Chinese, Korean; long or short) and drawn as an image with real fonts, and for
any image of this world, drawn or generated, a gold judge measures what is really in it.
"""
