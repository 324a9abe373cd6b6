"""Metrics for Prometheus: what events, store, streams and errors tell (``collection``, ``measured``, ``routes``)."""

from .collection import Metrics as Metrics
from .measured import MeasuredStore as MeasuredStore
from .measured import MeasuredStreams as MeasuredStreams
from .routes import MetricsRoutes as MetricsRoutes
