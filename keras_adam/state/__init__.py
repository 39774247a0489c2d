"""What is kept between steps: created, packed, saved and loaded."""
