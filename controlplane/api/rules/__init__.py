"""Rules that several kinds share: pod specs, containers, volumes, probes, ports, pod templates."""
