"""The `netsim` command: only what kubectl cannot do. One file per subcommand, loaded when it is called."""
