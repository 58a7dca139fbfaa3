"""Patents by their publication number, from the EPO and the USPTO, with the operator's keys."""
