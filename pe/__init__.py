"""The prompt rewriter: mine preference pairs by drawing, fine-tune (SFT), prefer (SimPO), rewrite."""
