"""Words and ground tools that all of the pipeline stands on."""
