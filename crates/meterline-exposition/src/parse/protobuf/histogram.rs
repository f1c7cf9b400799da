//! Histograms: classic buckets as samples, native ones as one value, both if both are there.

use super::super::page::place;
use super::super::{
    Exemplar, Family, NativeBuckets, NativeHistogram, Rule, Span, Stop, Suffix, Type, Value,
};
use super::wire::{Field, Message};
use super::{Common, Parser, timestamp};

/// The schemas of exponential buckets; others are not this kind of histogram.
const SCHEMAS: std::ops::RangeInclusive<i32> = -4..=8;

/// What a histogram message says beside its classic buckets.
#[derive(Default)]
struct Fields {
    /// Whether any count is a float.
    float: bool,
    count: Count,
    zero: Count,
    sum: f64,
    created: Option<f64>,
    schema: Option<i32>,
    zero_threshold: f64,
    negative: Side,
    positive: Side,
    exemplars: Vec<Exemplar>,
}

#[derive(Clone, Copy, Default)]
struct Count {
    whole: u64,
    float: f64,
}

impl Count {
    fn value(self) -> f64 {
        if self.float > 0.0 {
            self.float
        } else {
            self.whole as f64
        }
    }
}

#[derive(Default)]
struct Side {
    spans: Vec<Span>,
    deltas: Vec<i64>,
    counts: Vec<f64>,
}

impl<'a> Parser<'a> {
    pub(super) fn histogram(
        &mut self,
        family: &mut Family<'a>,
        common: &Common,
        mut message: Message<'a>,
    ) -> Result<(), Stop> {
        let begin = message.at();
        let mut fields = Fields::default();
        let first = family.samples.len();
        while let Some(field) = message.field()? {
            match field.number {
                3 => self.bucket(family, common, &field)?,
                16 => {
                    self.spend(1, field.at)?;
                    fields.exemplars.push(self.exemplar(&field)?);
                }
                _ => self.native_field(&mut fields, &field)?,
            }
        }
        let (count, sum) = if family.kind == Type::GaugeHistogram {
            (Suffix::GaugeCount, Suffix::GaugeSum)
        } else {
            (Suffix::Count, Suffix::Sum)
        };
        let total = fields.count.value();
        let has_buckets = family.samples.len() > first;
        let native = fields.schema.is_some()
            && !(fields.positive.spans.is_empty()
                && fields.negative.spans.is_empty()
                && fields.zero_threshold == 0.0
                && fields.zero.value() == 0.0);
        self.spend(4, begin)?;
        // The last bucket may be left out, since the count says the same.
        let complete = family.samples.last().and_then(|sample| sample.bound) == Some(f64::INFINITY);
        if (has_buckets || !native) && !complete {
            let mut last = common.sample(Suffix::Bucket, total);
            last.bound = Some(f64::INFINITY);
            family.samples.push(last);
        }
        family.samples.push(common.sample(count, total));
        family.samples.push(common.sample(sum, fields.sum));
        let created = fields.created;
        if native {
            let mut sample = common.sample(Suffix::None, 0.0);
            sample.value = Value::Native(Box::new(fields.native(begin)?));
            family.samples.push(sample);
        }
        self.created(family, common, created)
    }

    fn bucket(
        &mut self,
        family: &mut Family<'a>,
        common: &Common,
        field: &Field<'a>,
    ) -> Result<(), Stop> {
        self.spend(1, field.at)?;
        let mut message = field.message()?;
        let mut sample = common.sample(Suffix::Bucket, 0.0);
        sample.offset = place(field.at);
        let (mut bound, mut count) = (0.0, Count::default());
        while let Some(field) = message.field()? {
            match field.number {
                1 => count.whole = field.uint64()?,
                2 => bound = field.double()?,
                3 => sample.exemplar = Some(Box::new(self.exemplar(&field)?)),
                4 => count.float = field.double()?,
                _ => {}
            }
        }
        if bound.is_nan() {
            let why = "the bound of the bucket is NaN; it has to be a number";
            return Err(Stop::new(field.at, Rule::Bound, why));
        }
        sample.bound = Some(bound);
        sample.value = Value::Number(count.value());
        family.samples.push(sample);
        Ok(())
    }

    fn native_field(&mut self, fields: &mut Fields, field: &Field<'a>) -> Result<(), Stop> {
        match field.number {
            1 => fields.count.whole = field.uint64()?,
            2 => fields.sum = field.double()?,
            4 => fields.count.float = field.double()?,
            5 => fields.schema = Some(field.sint32()?),
            6 => fields.zero_threshold = field.double()?,
            7 => fields.zero.whole = field.uint64()?,
            8 => fields.zero.float = field.double()?,
            9 => self.span(&mut fields.negative, field)?,
            12 => self.span(&mut fields.positive, field)?,
            10 => self.deltas(&mut fields.negative, field)?,
            13 => self.deltas(&mut fields.positive, field)?,
            11 => self.counts(&mut fields.negative, field)?,
            14 => self.counts(&mut fields.positive, field)?,
            15 => fields.created = Some(timestamp(field)?),
            _ => {}
        }
        fields.float |= matches!(field.number, 8 | 11 | 14);
        Ok(())
    }

    fn span(&mut self, side: &mut Side, field: &Field<'a>) -> Result<(), Stop> {
        self.spend(1, field.at)?;
        let mut message = field.message()?;
        let mut span = Span {
            offset: 0,
            length: 0,
        };
        while let Some(field) = message.field()? {
            match field.number {
                1 => span.offset = field.sint32()?,
                2 => span.length = u32::try_from(field.varint()?).unwrap_or(u32::MAX),
                _ => {}
            }
        }
        if span.offset < 0 && !side.spans.is_empty() {
            let why = "a span begins before the end of the one before; order them";
            return Err(Stop::new(field.at, Rule::Histogram, why));
        }
        side.spans.push(span);
        Ok(())
    }

    fn deltas(&mut self, side: &mut Side, field: &Field<'a>) -> Result<(), Stop> {
        field.sint64s(&mut |delta| {
            self.spend(1, field.at)?;
            side.deltas.push(delta);
            Ok(())
        })
    }

    fn counts(&mut self, side: &mut Side, field: &Field<'a>) -> Result<(), Stop> {
        field.doubles(&mut |count| {
            self.spend(1, field.at)?;
            side.counts.push(count);
            Ok(())
        })
    }
}

impl Fields {
    fn native(self, begin: usize) -> Result<NativeHistogram, Stop> {
        let wrong = |why: String| Err(Stop::new(begin, Rule::Histogram, why));
        let schema = self.schema.unwrap_or_default();
        if !SCHEMAS.contains(&schema) {
            return wrong(format!("schema {schema} is not one of -4 to 8"));
        }
        if !(self.zero_threshold >= 0.0 && self.zero_threshold.is_finite()) {
            let width = self.zero_threshold;
            return wrong(format!(
                "the zero threshold {width} is not a number from 0 on"
            ));
        }
        let (negative, in_negative) = self.negative.buckets(begin)?;
        let (positive, in_positive) = self.positive.buckets(begin)?;
        let whole = u128::from(self.count.whole);
        let counted = in_negative + in_positive + u128::from(self.zero.whole);
        // Recordings of NaN are counted, but are in no bucket; the sum tells.
        let agrees = counted == whole || (self.sum.is_nan() && counted < whole);
        if !self.float && !agrees {
            return wrong(format!(
                "the native buckets hold {counted}, but the count is {whole}; they are the same number"
            ));
        }
        Ok(NativeHistogram {
            schema,
            zero_threshold: self.zero_threshold,
            zero_count: self.zero.value(),
            count: self.count.value(),
            sum: self.sum,
            positive,
            negative,
            exemplars: self.exemplars,
        })
    }
}

impl Side {
    /// The buckets, and how many they hold if those are whole numbers.
    fn buckets(self, begin: usize) -> Result<(NativeBuckets, u128), Stop> {
        let wrong = |why: String| Err(Stop::new(begin, Rule::Histogram, why));
        let room: u64 = self.spans.iter().map(|span| u64::from(span.length)).sum();
        let given = self.deltas.len().max(self.counts.len()) as u64;
        if room != given || !(self.deltas.is_empty() || self.counts.is_empty()) {
            return wrong(format!(
                "the spans have {room} buckets, but {given} are given"
            ));
        }
        let (mut count, mut all) = (0_i64, 0_u128);
        let mut counts = self.counts;
        for delta in self.deltas {
            match count.checked_add(delta) {
                Some(next @ 0..) => count = next,
                _ => {
                    return wrong(
                        "a bucket holds less than nothing, or more than 64 bits".to_owned(),
                    );
                }
            }
            all += u128::from(count.unsigned_abs());
            counts.push(count as f64);
        }
        let spans = self.spans;
        Ok((NativeBuckets { spans, counts }, all))
    }
}
