"""The cells of server-side tables: what `kubectl get` prints, computed as upstream's printers do."""
