"""TextGrids of other aligners: finds them, reads them, and puts them on the frame grid."""
