"""What differs between frameworks, one module per framework behind one interface."""
