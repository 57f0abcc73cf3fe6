"""What the reasons mean that `prepare` counts, in a sentence each for the data card."""

_OF = {
    "archive": "archives",
    "file": "files",
    "folder": "folders",
    "series": "series",
    "cine": "slice positions",
    "study": "studies",
    "mask": "masks",
    "report": "reports",
}
_MEANING = {
    # Files: what they are.
    "appledouble": "what macOS leaves beside a file, no image",
    "not_dicom": "no DICOM file",
    "nested_archive": "an archive within an archive, which stays closed",
    "link": "a link, which is not followed",
    "encrypted": "encrypted",
    "dicomdir": "a directory of files, no image",
    "no_study": "names no study",
    "not_mr": "of another modality than MR",
    "not_grey": "has colours",
    "no_pixels": "has no pixels: a document, a plan, a curve",
    "float_pixels": "a map of numbers, no image as scanned",
    "no_frame_positions": "does not say where its frames lie",
    "no_geometry": "does not say where it lies in the patient",
    "scanner_result": "computed by the scanner, not scanned",
    # Images that may hold text.
    "burned_in_text": "its header says that text is burned into the pixels",
    "secondary_capture": "a secondary capture, which may show a name",
    "screenshot": "a picture of a screen, which may show a name",
    "derived_secondary": "derived on a workstation, which may have written on it",
    "not_an_mr_image": "a standard kind of object that is no MR image",
    # What is broken, or would cost too much.
    "unreadable": "cannot be read",
    "truncated": "cut off: what is missing is lost, an archive's members before that are read",
    "bad_size": "its header claims a size that cannot be true",
    "bad_pixels": "its pixels do not fit its header",
    "undecodable": "its compressed pixels are damaged",
    "too_large": "larger than the limit that protects this machine's memory",
    "too_slow": "took longer than the limit to read",
    "crashed": "its decoder died, and nothing else with it",
    "missing": "named by a list or a table, and not there",
    "needs_extra_codecs": "compressed in a way that `pip install 'cmrjax[codecs]'` reads",
    "unsupported_syntax": "compressed in a way that nothing here reads",
    "unsupported_packing": "packed in a way that nothing here opens",
    # Cines.
    "one_phase": "a single image, no cine",
    "few_phases": "too few phases for a cine",
    "no_cardiac_cycle": "its times span no heartbeat",
    "missing_phases": "more than a quarter of the cycle is missing",
    "incomplete": "covers less of the cycle than the rest of its stack: interrupted",
    "repeated": "scanned or filed again; of slices the later stays, of cases the first",
    "repeated_phases": "phases scanned again; the later ones stay",
    "named_other_imaging": "its name says late enhancement, mapping, flow, perfusion or the like",
    "flow": "velocities, no anatomy",
    "varying_inversion_time": "a series over inversion times, no cine",
    # Studies and masks, mostly of public datasets.
    "several_patients": "its images are of several patients: nobody can tell whose heart it is",
    "no_cine": "has no cine that could be kept",
    "not_in_table": "not named by the dataset's table",
    "without_images": "has contours, but no images",
    "no_phases": "end-diastole and end-systole are not known",
    "no_4d": "only end-diastole and end-systole are there, and more than two frames were asked for",
    "bad_nifti": "its NIfTI file cannot be read",
    "shapes_differ": "image and mask have different shapes",
    "unknown_class": "its mask has a class that the dataset does not define",
    "not_a_stack": "its file holds no stack of slices",
    "empty": "nothing is drawn in it",
    "no_image": "drawn on an image that is not there",
    "phase_not_found": "the frame that it was drawn on cannot be told",
    "bad_contour": "its file holds no contour",
    "looks_identified": "withheld: still looks as if it named somebody; the study stays",
}


def meaning(reason: str) -> str:
    """What a counted reason means.

    Args:
        reason: as `dataset.json` has it, e.g. 'file.not_mr'.

    Returns:
        Nothing for a reason that has no explanation: the type of an error that nobody foresaw.

    Example:
        >>> meaning('file.not_mr'), meaning('study.ValueError')
        ('of another modality than MR', '')
    """
    return _MEANING.get(reason.partition(".")[2], "")


def counted(reason: str) -> str:
    """What a reason counts.

    Example:
        >>> counted('cine.one_phase')
        'slice positions'
    """
    return _OF.get(reason.partition(".")[0], "")
