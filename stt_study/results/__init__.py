"""What results say: tables, comparisons, claims, reference results."""
