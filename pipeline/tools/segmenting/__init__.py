"""`ns2 segment`: long recordings with their texts become utterances, without copying audio."""
