"""The debugger of durable executions: `durable-debug`, in the terminal and in CI.

Layers, each importing only what is left of it: `text` (cells, glyphs, durations) → `model` (rows, folding, search, time
travel) → `views` (model to lines of text) → `widgets`, `screens`, `app` (Textual) and `cli` (no Textual). `sources` reads
executions from wherever they are kept.
"""
