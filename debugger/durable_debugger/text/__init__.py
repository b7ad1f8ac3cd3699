"""Text for terminals: cell widths, glyphs, durations and styled lines. Pure, and independent of Textual."""
