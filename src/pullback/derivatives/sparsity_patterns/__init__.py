"""Where Jacobians are not zero: patterns as values, and how they are found."""
