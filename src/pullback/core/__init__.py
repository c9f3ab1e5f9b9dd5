"""Values and programs: what every other layer speaks. Nothing in here imports anything above it."""
