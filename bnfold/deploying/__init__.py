"""From the definition that a network was trained with to the one that it is used with."""
