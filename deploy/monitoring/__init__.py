"""What watches Parley: Prometheus's configuration, alerts, Grafana's dashboard, and the list of metrics."""
