"""TextGrids made elsewhere: found, read, and laid on the frame grid."""
