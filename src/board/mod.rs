//! Floor 2: the one presenter. Turns a state and a moment into rows, bars, words and times that
//! every view shows. Knows no widget and no HTML.
