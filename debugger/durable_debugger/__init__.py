"""The debugger of durable executions: `durable-debug`, in the terminal and in CI.

Layers, each importing only the layers to its left: `text` (cells, glyphs, durations) → `model` (rows, folding, search, time
travel) → `views` (model to lines of text) → `widgets`, `screens`, `app` (Textual) and `cli` (no Textual). `sources` reads
executions from files, the local store and AWS.
"""
