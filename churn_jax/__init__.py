"""Train many independent runs at once, measure their churn, and reduce it."""

__version__ = "0.1.0"
