"""The Studio: the pages of a workspace in a browser, and the server behind them."""
