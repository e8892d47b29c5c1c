"""Sound as a medium that a model learns."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from triad_serving.contract.arrays import I16
from triad_serving.contract.errors import ConfigError
from triad_serving.contract.tasks import Task
from triad_serving.media.audio.decode import DecodedAudio
from triad_serving.media.audio.medium import AUDIO as SERVING
from triad_serving.media.audio.schemas import SoundAttention
from triad_serving.media.audio.spec import AudioInput, AudioSpec
from triad_serving.media.medium import Medium
from triad_training.layers.expert import Expert
from triad_training.media.audio.augment import augment_sound
from triad_training.media.audio.config import AudioAugment, SpectrumAugment
from triad_training.media.audio.corruption import CORRUPTIONS
from triad_training.media.audio.encoder import AudioEncoder
from triad_training.media.audio.expert import AudioExpert
from triad_training.media.audio.front_end import LogMel
from triad_training.media.audio.noise import Noise, coloured_noise, recorded_noise
from triad_training.media.audio.pretrained import audio_spec, pretrained_audio_encoder
from triad_training.media.audio.stored import AUDIO_AS_READ, NOISE, SOUND, AudioLoader
from triad_training.media.audio.view import SoundView, view_sound
from triad_training.media.audio.windows import windowed
from triad_training.media.config import AugmentConfig, EncodersConfig, MediaColumns, MediaConfig
from triad_training.media.corruption import Corruption
from triad_training.media.file_medium import FileMedium
from triad_training.media.medium import Change
from triad_training.media.pretrained.source import network_files, processor_files
from triad_training.media.stored import Files, StoredForm
from triad_training.media.style import MediumStyle


class TrainingAudio(FileMedium):
    """See TrainingMedium."""

    serving: Medium[AudioSpec, None, bytes, DecodedAudio, AudioInput] = SERVING
    forms: tuple[StoredForm, ...] = (AUDIO_AS_READ, SOUND, NOISE)
    as_read = AUDIO_AS_READ
    as_decoded = SOUND
    aligned_inputs: tuple[str, ...] = ("samples",)
    style = MediumStyle(colour="#f5cf80", marker="^")
    corruptions: tuple[Corruption, ...] = CORRUPTIONS
    size_label = "seconds of a sound"
    parts_label = "moments"
    hidden_label = "a hidden moment is silent"
    attended_label = "shaded moments"

    def column(self, data: MediaColumns) -> str:
        return data.audio

    def fit_spec(self, spec: AudioSpec, model: EncodersConfig) -> AudioSpec:
        return audio_spec(spec, model.audio_encoder) if model.audio_encoder else spec

    def loader(self, sources: Sequence[Path], spec: AudioSpec, asset: None, files: Files) -> AudioLoader:
        return AudioLoader(spec=spec, files=files)

    def augmentation(
        self, config: AugmentConfig, spec: AudioSpec, files: Files
    ) -> Change[DecodedAudio] | None:
        """Raises ConfigError where the folder of noise has none."""
        if config.audio == AudioAugment():
            return None
        noise: Noise | None = None
        if config.audio.noise_snr_db is not None:
            folder = config.audio.noise_folder
            noise = recorded_noise(folder, files) if folder is not None else coloured_noise()
        return functools.partial(_change, config=config.audio, noise=noise)

    def build_encoder(self, config: MediaConfig, spec: AudioSpec, asset: None) -> nn.Module:
        model = config.model
        encoder: nn.Module = (
            pretrained_audio_encoder(spec, model.audio_encoder, width=model.width)
            if model.audio_encoder
            else AudioEncoder(
                spec,
                width=model.width,
                mels=model.mels,
                dropout=model.dropout,
                features=model.features,
                denoise=model.denoise,
            )
        )
        _hide_spectra(encoder, config.augment.spectrum)
        return windowed(encoder, spec) if spec.window_s else encoder

    def build_experts(
        self, config: MediaConfig, spec: AudioSpec, asset: None, encoder: nn.Module, tasks: Sequence[Task]
    ) -> dict[str, Expert]:
        return {"statistics": AudioExpert(spec, tasks)}

    def bundle_files(self, config: MediaConfig, spec: AudioSpec, asset: None) -> dict[str, bytes]:
        encoder, name = config.model.audio_encoder, self.serving.name
        return network_files(encoder, name) | processor_files(encoder, name) if encoder else {}

    def sample_inputs(self, spec: AudioSpec, items: int) -> dict[str, Tensor]:
        length = spec.window + 13 * spec.hop * spec.frames_per_token
        return {
            "samples": torch.zeros(items, length, dtype=torch.int16),
            "sample_counts": torch.full((items,), length),
        }

    def degenerate(self, spec: AudioSpec) -> Sequence[AudioInput]:
        """Silence and one click, as short and as long as may be."""
        items = []
        for samples in (spec.window, spec.max_samples):
            silent, click = np.zeros(samples, np.int16), np.zeros(samples, np.int16)
            click[samples // 2] = 32767
            items += [_sound(silent, spec), _sound(click, spec)]
        return items

    def size(self, item: AudioInput) -> float:
        return item.seconds

    def view(
        self, raw: bytes, item: AudioInput, section: Sequence[SoundAttention], spec: AudioSpec
    ) -> SoundView:
        return view_sound(raw, spec, section)


def _change(
    sound: DecodedAudio, rng: np.random.Generator, *, config: AudioAugment, noise: Noise | None
) -> DecodedAudio:
    return augment_sound(sound, config, noise, rng)


def _hide_spectra(encoder: nn.Module, augment: SpectrumAugment) -> None:
    """Raises ConfigError where that is asked for and there is no spectrum."""
    front_ends = [module for module in encoder.modules() if isinstance(module, LogMel)]
    if not front_ends and augment != SpectrumAugment():
        raise ConfigError("augment.spectrum: the model computes no spectrum of a sound.")
    for front_end in front_ends:
        front_end.augment = augment


def _sound(samples_T: I16, spec: AudioSpec) -> AudioInput:
    return AudioInput(
        samples_T=samples_T,
        format="",
        seconds=len(samples_T) / spec.sample_rate_hz,
        sample_rate_hz=spec.sample_rate_hz,
        truncated=False,
        peak=float(samples_T.max()) / 32768,
    )


AUDIO = TrainingAudio()
