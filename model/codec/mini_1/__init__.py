"""The first version of the codec `mini`, which datasets and runs of before were made with."""
