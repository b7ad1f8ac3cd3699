"""What a replay may not do, and what refuses it: audit hook, tripwires, substitutes and Landlock."""
