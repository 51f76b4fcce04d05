"""The HTTP interfaces of Kannel and Jasmin, for clients that speak them; off until an operator enables them."""
