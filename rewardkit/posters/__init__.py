"""Posters: the built-in synthetic world, in which everything is known.

A scene has captions (English, Chinese, Korean; long or short) and is drawn as an image with real fonts, and for
any image of this world, drawn or generated, a gold judge measures what it really shows.
"""
