"""How a step is put together: a plan of groups, and one pipeline that runs them."""
