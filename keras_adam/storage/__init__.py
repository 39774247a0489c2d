"""How moments are kept between steps."""
