"""What is done with finished datasets.

inspection/    ns2 inspect: overview, one utterance, plot, confidence of its borders
verify/        ns2 verify: every file, array and row, the frame contract, the ledger
diff/          ns2 diff: two datasets, by their cards, indexes and ledgers
align_eval/    ns2 align-eval: durations measured by known truth
export.py      ns2 export: WebDataset tars with plain numbers
textgrids.py   ns2 textgrid: phones and words for Praat
collect.py     ns2 gc: remove what is no longer current
options.py     the options of those that take several
"""
