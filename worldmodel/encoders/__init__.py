"""The video transformer, and the frozen encoder that everything else sees."""
