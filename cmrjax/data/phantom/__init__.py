"""An analytic beating heart: DICOM studies, reports and labels made from a seed."""
